// The library that draws charts. It is loaded when the first chart is shown.
export { default } from 'uplot'
