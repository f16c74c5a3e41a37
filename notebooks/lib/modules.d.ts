declare module "plotly.js-dist" {
  const Plotly: {
    react(element: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
  };
  export default Plotly;
}
declare module "@observablehq/inputs";
